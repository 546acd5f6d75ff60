//! `pony-run query check`: whether a server advises to build recipes.

use pony_wire::{ShouldBuild, Slot};
use serde_json::json;

use super::{canvas, head};
use crate::{
    cli::{AskOptions, WhichOptions},
    exit::Exit,
    plan,
    platform::Machine,
    query::{
        table::{Cell, Table},
        text,
    },
    server::Server,
    verbs::{Failure, load, print, querier::Querier},
};

pub(super) async fn check(
    querier: &mut Querier,
    server: &Server,
    which: &WhichOptions,
    tags: &[String],
    ask: &AskOptions,
) -> Result<Exit, Failure> {
    let machine = Machine::look();
    let graph = load(which, &machine.facts)?;
    let api = querier.reach(server).await?;
    api.advises()?;
    let mut table = Table::new(&["BUILD?", "PACKAGE", "REASON"]);
    let (mut builds, mut is_any) = (Vec::new(), false);
    for node in graph.builds.iter().filter(|node| node.requested) {
        let tags = plan::tags(&node.recipe, tags).map_err(|error| Failure::of(error.exit(), &error))?;
        let slot = Slot {
            package: api.package_name(&node.recipe.package),
            host: machine.facts.host.clone(),
            arch: machine.facts.arch.clone(),
            tags,
        };
        let advice = querier.unless_stopped(server.check_should_build(slot.clone(), false)).await?;
        let ShouldBuild { build, reason } = advice.map_err(|error| api.error(error.into()))?;
        is_any |= build;
        table.row([
            Cell::plain(if build { "yes" } else { "no" }),
            Cell::plain(&node.name),
            Cell::plain(text::advice(&reason)),
        ]);
        builds.push(json!({
            "build": build, "reason": reason, "name": node.name,
            "package": slot.package, "host": slot.host, "arch": slot.arch, "tags": slot.tags,
        }));
    }
    if ask.json {
        let mut answer = head(&api);
        answer["builds"] = builds.into();
        print(&format!("{answer:#}"));
    } else {
        print(&table.draw(canvas(ask.color)));
    }
    Ok(if is_any { Exit::Ok } else { Exit::No })
}
