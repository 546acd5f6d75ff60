//! Environments with the wheels and prefixes of dependencies.

use std::{collections::BTreeSet, ffi::OsString, fs, path::PathBuf};

use pony_contexts::{
    ContextRequest, Error,
    chain::{DependencyOutputs, EnvironmentUse},
    prepare,
    virtualenv::Installer,
};

use crate::virtualenv::{Lab, labels, list, wanted};

/// Outputs of dependencies can be used with every installer.
async fn uses_outputs(installer: Installer) {
    let lab = Lab::with(installer);
    // In no index that is asked.
    fs::rename(lab.world.path("wheels"), lab.world.path("dist")).unwrap();
    for version in ["tiny-2.0", "more-2.0"] {
        fs::remove_file(lab.world.path(&format!("dist/{version}-py3-none-any.whl"))).unwrap();
    }
    lab.index("no-index = true\n");
    let prefix = lab.world.path("prefix");
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::create_dir_all(prefix.join("lib")).unwrap();
    let outputs = [("prefix", prefix.clone()), ("wheels", lab.world.path("dist"))];
    let library = DependencyOutputs {
        name: "library".to_owned(),
        outputs: outputs.map(|(name, path)| (name.to_owned(), path)).into(),
        except: BTreeSet::new(),
    };
    let request = ContextRequest {
        dependencies: vec![library],
        search: [("LD_LIBRARY_PATH".to_owned(), OsString::from("/opt/lib"))].into(),
        ..lab.request(wanted(&["tiny>=1"], &["absent"]))
    };
    let mut shell = lab.shell();
    shell.env.retain(|(name, _)| *name != "PIP_FIND_LINKS");
    let prepared = prepare(&request, &mut shell).await.unwrap();
    assert_eq!(lab.says(&prepared, "more, tiny", "more.version, tiny.version"), "1.0 1.0");
    let wheels = ["more-1.0-py3-none-any.whl", "tiny-1.0-py3-none-any.whl"];
    assert_eq!(list(&prepared, "dependencies"), [wheels[0], wheels[1], "tiny>=1"]);
    let chain = ["prefix", "wheels"]
        .map(|name| format!("library.{name}={}", request.dependencies[0].outputs[name].display()));
    assert_eq!(list(&prepared, "chain"), chain);

    let path = prepared.env["PATH"].as_ref().unwrap();
    let env_dir = prepared.tempdir.clone().unwrap().join(".virtualenv");
    let path: Vec<PathBuf> = std::env::split_paths(path).collect();
    assert_eq!(path, [env_dir.join("bin"), prefix.join("bin"), lab.world.path("bin")]);
    let libraries = format!("{}:/opt/lib", prefix.join("lib").display());
    let installs = shell.ran.iter().filter(|(command, _)| command.label.starts_with("install"));
    for (command, _) in installs {
        assert_eq!(command.env["LD_LIBRARY_PATH"].as_deref(), Some(libraries.as_ref()), "{}", command.label);
    }
    assert_eq!(labels(&shell).iter().filter(|label| **label == "install").count(), 1);
}

#[tokio::test]
async fn uv_uses_outputs() {
    uses_outputs(Installer::Uv).await;
}

#[tokio::test]
async fn virtualenv_uses_outputs() {
    uses_outputs(Installer::Virtualenv).await;
}

#[tokio::test]
async fn a_folder_without_wheels_is_an_error_that_except_avoids() {
    let lab = Lab::with(Installer::Uv);
    fs::create_dir(lab.world.path("dist")).unwrap();
    let outputs = [("wheels".to_owned(), lab.world.path("dist"))].into();
    let library = DependencyOutputs { name: "library".to_owned(), outputs, except: BTreeSet::new() };
    let mut request = ContextRequest { dependencies: vec![library], ..lab.request(wanted(&[], &[])) };
    let mut shell = lab.shell();
    let error = prepare(&request, &mut shell).await.unwrap_err();
    assert!(matches!(&error, Error::NoWheels { name, .. } if name == "library"), "{error}");
    assert!(shell.ran.is_empty() && lab.world.temporary().is_empty());
    // Without an environment there is nothing that they could be for.
    let other = ContextRequest { virtualenv: None, ..request.clone() };
    prepare(&other, &mut shell).await.unwrap();
    request.dependencies[0].except.insert(EnvironmentUse::Wheels);
    prepare(&request, &mut shell).await.unwrap();
}
