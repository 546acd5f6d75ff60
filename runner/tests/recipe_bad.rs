//! Wrong recipes: what people are told. One snapshot a recipe of `recipes/bad`.

mod recipe_support;

use std::{fs, path::Path};

use recipe_support::{errors, files};

#[test]
fn every_bad_recipe_says_what_is_wrong() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/bad");
    for path in files(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let shown = errors(Path::new(name), &fs::read(&path).unwrap());
        insta::with_settings!({
            snapshot_path => "recipes/snapshots", prepend_module_to_snapshot => false, omit_expression => true,
        }, {
            insta::assert_snapshot!(name.trim_end_matches(".yaml"), shown);
        });
    }
}
