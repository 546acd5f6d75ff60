//! `pony-run query check`: whether a server wants recipes built.

use pony_wire::Slot;
use serde_json::json;

use super::{canvas, head};
use crate::{
    cli::{AskOptions, WhichOptions},
    delivery::{Needed, check_should_build},
    exit::Exit,
    plan,
    platform::Machine,
    query::table::{Cell, Table},
    server::Server,
    verbs::{Failure, load, print, querier::Querier},
};

/// Whether builds of these recipes are wanted by the server.
pub(super) async fn check(
    querier: &mut Querier,
    server: &Server,
    which: &WhichOptions,
    tags: &[String],
    ask: &AskOptions,
) -> Result<Exit, Failure> {
    let machine = Machine::look();
    let graph = load(which, &machine.facts)?;
    let asking = querier.reach(server).await?;
    asking.says_whether_to_build()?;
    let mut table = Table::new(&["", "BUILD", "THE SERVER SAYS"]);
    let (mut all, mut is_any) = (Vec::new(), false);
    for node in graph.builds.iter().filter(|node| node.requested) {
        let tags = plan::tags(&node.recipe, tags).map_err(|error| Failure::of(error.exit(), &error))?;
        let (package, host, arch) =
            (node.recipe.package.clone(), machine.facts.host.clone(), machine.facts.arch.clone());
        let slot = Slot { package: asking.dialect.package(&package), host, arch, tags };
        let asked = querier.unless_stopped(check_should_build(server, slot.clone(), false)).await?;
        let Needed { build, reason } = asked.map_err(|error| asking.failed(error))?;
        is_any |= build;
        table.row([
            Cell::plain(if build { "build" } else { "leave" }),
            Cell::plain(&node.name),
            Cell::plain(&reason),
        ]);
        all.push(json!({
            "build": build, "reason": reason, "name": node.name,
            "package": slot.package, "host": slot.host, "arch": slot.arch, "tags": slot.tags,
        }));
    }
    let mut json = head(&asking);
    json["builds"] = all.into();
    if ask.json {
        print(&format!("{json:#}"));
    } else {
        print(&table.draw(canvas(ask.color)));
    }
    Ok(if is_any { Exit::Ok } else { Exit::No })
}
