//! What a person sees, in a real terminal.

use pony_tests::{Terminal, World};

/// A recipe whose step `work` prints, then waits for the pipe `go`.
fn waiting(world: &World, print: &str) -> (&'static str, std::path::PathBuf) {
    let go = world.fifo("go");
    let recipe = world.recipe(&format!(
        "steps:\n- {{name: first, run: echo first output}}\n- {{name: work, run: '{print}; read x <{}; echo last'}}\n",
        go.display()
    ));
    (recipe, go)
}

fn last_line(screen: &str) -> &str {
    screen.lines().last().unwrap_or_default()
}

fn is_status(line: &str) -> bool {
    line.contains("demo") && line.contains("step 2/2") && line.contains("work")
}

fn until_status(terminal: &Terminal<'_>) -> String {
    terminal.until("the status line", |screen| is_status(last_line(screen)))
}

#[test]
fn a_status_line_stands_below_the_output_while_a_step_runs() {
    let world = World::new();
    let (recipe, go) = waiting(&world, "echo compiling; echo linking >&2");
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]));
    let screen = terminal.until("output and status", |screen| {
        screen.contains("\ncompiling") && screen.contains("\nlinking") && is_status(last_line(screen))
    });
    assert!(screen.contains("first output") && screen.contains("[1/2] first passed"), "{screen}");
    assert_eq!(screen.matches("step 2/2").count(), 1, "{screen}");
    world.release(&go);
    let screen = terminal.end(0);
    assert!(
        !screen.contains("step 2/2") && !screen.contains("step 1/2"),
        "no status line is left:\n{screen}"
    );
    assert!(screen.contains("\nlast\n") && screen.contains("[2/2] work passed"), "{screen}");
    assert!(screen.contains("demo passed"), "{screen}");
}

#[test]
fn the_time_on_the_status_line_goes_on() {
    let world = World::new();
    let (recipe, go) = waiting(&world, "echo compiling");
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]));
    terminal.until("a second", |screen| last_line(screen).contains("0:01"));
    world.release(&go);
    let _ = terminal.end(0);
    // The next run knows how long it took.
    drop(terminal);
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]));
    terminal.until("the usual time", |screen| last_line(screen).contains("(usually "));
    world.release(&go);
    let _ = terminal.end(0);
}

#[test]
fn a_line_that_is_not_complete_is_shown() {
    let world = World::new();
    let (recipe, go) = waiting(&world, "printf \"downloading 10%%\\rdownloading 50%%\"");
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]));
    let screen = terminal.until_shown("\ndownloading 50%");
    assert!(!screen.contains("\ndownloading 10%") && is_status(last_line(&screen)), "{screen}");
    world.release(&go);
    let screen = terminal.end(0);
    assert!(screen.contains("downloading 50%last"), "{screen}");
}

#[test]
fn colours_of_the_build_are_kept_and_what_tears_the_screen_is_not() {
    let world = World::new();
    let (recipe, go) =
        waiting(&world, "printf \"\\033[31mred\\033[0m\\033[2J\\033[1;1H after\\033]0;title\\007\\n\"");
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]));
    let screen = terminal.until_shown("red after");
    assert!(screen.contains("first output"), "{screen}");
    assert!(
        terminal.coloured().contains("\x1b[31mred\x1b[0m")
            || terminal.coloured().contains("\x1b[31mred\x1b[39m"),
        "{:?}",
        terminal.coloured()
    );
    world.release(&go);
    let _ = terminal.end(0);
    assert!(terminal.coloured().contains("\x1b[31mred"), "{:?}", terminal.coloured());
}

#[test]
fn the_summary_of_a_failure_has_all_that_is_needed() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: compile, run: 'for i in 1 2 3; do echo line $i; done; exit 3'}\n- run: echo never\n");
    let terminal = world.terminal(160, 40, &world.pony(&[recipe]));
    let screen = terminal.end(10);
    let folder = world.run().path.display().to_string();
    for said in ["demo failed", "compile", "| line 3", "skipped", "01-compile.out", "exit status 3"] {
        assert!(screen.contains(said), "{said:?}:\n{screen}");
    }
    assert!(screen.contains(&folder), "{folder}:\n{screen}");
    assert!(!screen.contains("step 1/2"), "{screen}");
    assert!(screen.contains("stored"), "{screen}");
}

#[test]
fn ctrl_c_in_the_terminal() {
    let world = World::new();
    let (recipe, _go) = waiting(&world, "echo compiling");
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]));
    until_status(&terminal);
    terminal.press("C-c");
    let screen = terminal.end(130);
    assert!(screen.contains("cancelled") && !screen.contains("step 2/2"), "{screen}");
}

#[test]
fn a_narrow_window_has_its_status_on_one_line() {
    let world = World::new();
    let (recipe, go) = waiting(&world, "printf \"a line that is much longer than this window is wide\"");
    let terminal = world.terminal(40, 20, &world.pony(&["-n", recipe]));
    let screen = terminal.until("the status line", |screen| last_line(screen).starts_with("demo · step 2/2"));
    assert_eq!(screen.matches("demo · step").count(), 1, "{screen}");
    world.release(&go);
    let screen = terminal.end(0);
    assert!(!screen.contains("demo · step"), "{screen}");
}

#[test]
fn a_window_that_changes_its_size_is_kept_up_with() {
    let world = World::new();
    let (recipe, go) = waiting(&world, "echo compiling");
    let terminal = world.terminal(120, 30, &world.pony(&["-n", recipe]));
    until_status(&terminal);
    terminal.resize(36, 20);
    terminal.until("a tick", |screen| last_line(screen).contains("0:01"));
    let screen = terminal.screen();
    assert_eq!(screen.matches("step 2/2").count(), 1, "{screen}");
    world.release(&go);
    let screen = terminal.end(0);
    assert!(!screen.contains("step 2/2"), "{screen}");
}

#[test]
fn ten_thousand_lines_leave_the_screen_whole() {
    let world = World::new();
    let (recipe, go) = waiting(&world, "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); echo line $i; done");
    let terminal = world.terminal(80, 24, &world.pony(&["-n", recipe]));
    let screen = terminal.until("the last line and the status", |screen| {
        screen.contains("line 10000\n") && is_status(last_line(screen))
    });
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines[lines.len() - 2], "line 10000", "{screen}");
    for (index, line) in lines.iter().rev().skip(1).enumerate() {
        assert_eq!(*line, format!("line {}", 10_000 - index), "{screen}");
    }
    world.release(&go);
    let _ = terminal.end(0);
}

#[test]
fn plain_lines_without_progress_in_ci_and_in_a_dumb_terminal() {
    for (arguments, name, value) in
        [(vec!["--no-progress"], "OUTER", "1"), (vec![], "CI", "true"), (vec![], "TERM", "dumb")]
    {
        let world = World::new();
        let (recipe, go) = waiting(&world, "echo compiling");
        let call = world.pony(&[vec!["-n", recipe], arguments].concat()).env(name, value);
        // tmux sets TERM for what it runs; a shell in between sets it as the test wants it.
        let call = call.through(&["env", &format!("{name}={value}")]);
        let terminal = world.terminal(100, 30, &call);
        let screen = terminal.until_shown("compiling");
        assert!(!screen.contains("step 2/2"), "{name}: {screen}");
        world.release(&go);
        let _ = terminal.end(0);
    }
}

#[test]
fn no_color_in_a_terminal() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: 'printf \"\\033[31mred\\033[0m\\n\"'\n");
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]).env("NO_COLOR", "1"));
    let _ = terminal.end(0);
    let coloured = terminal.coloured();
    assert!(coloured.contains("red") && !coloured.contains("\x1b[3"), "{coloured:?}");
}

#[test]
fn stdout_into_a_file_leaves_the_screen_to_the_rest() {
    let world = World::new();
    let (recipe, go) = waiting(&world, "echo compiling; echo linking >&2");
    let call = world.pony(&["-n", recipe]).through(&["sh", "-c", "exec \"$0\" \"$@\" >out"]);
    let terminal = world.terminal(100, 30, &call);
    let screen = terminal
        .until("output and status", |screen| screen.contains("\nlinking") && is_status(last_line(screen)));
    assert!(!screen.contains("\ncompiling"), "{screen}");
    world.release(&go);
    let _ = terminal.end(0);
    assert_eq!(std::fs::read_to_string(world.path("work/out")).unwrap(), "first output\ncompiling\nlast\n");
}

#[test]
fn of_a_line_that_was_written_over_its_last_state_stays() {
    let world = World::new();
    let (recipe, go) = waiting(
        &world,
        "printf \"downloading 280.6 MB (99 %%)\"; printf \"\\r\\033[Kdone\\nloading\\033[1G\\033[0Kready\\n\"; printf \"12345\\b\\b\\033[Kx\\n\"",
    );
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]));
    let screen = terminal.until_shown("\n123x");
    assert!(screen.contains("\ndone\nready\n123x\n"), "{screen}");
    world.release(&go);
    let _ = terminal.end(0);
}

#[test]
fn control_characters_of_an_open_line_act_once_if_at_all() {
    let world = World::new();
    let (recipe, go) = waiting(&world, "printf \"Waiting\\a page one\\fpage\\vtwo\\016\"");
    let terminal = world.terminal(100, 30, &world.pony(&["-n", recipe]));
    terminal.until("some drawings", |screen| last_line(screen).contains("0:02"));
    world.release(&go);
    let screen = terminal.end(0);
    assert_eq!(terminal.bells(), 1, "{screen}");
    assert_eq!(screen.matches("\nWaiting").count(), 1, "{screen}");
    assert!(screen.contains("\nWaiting page one page twolast\n"), "{screen}");
}

#[test]
fn colours_that_the_build_leaves_on_end_with_its_line() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: paint, run: 'printf \"\\033[31mred\\nalso red\"'}\n");
    for arguments in [vec!["-n", recipe], vec!["-n", "--no-progress", "--color", "always", recipe]] {
        let terminal = world.terminal(100, 30, &world.pony(&arguments));
        let _ = terminal.end(0);
        let coloured = terminal.coloured();
        let passed = coloured.lines().find(|line| line.contains("paint") && line.contains("passed"));
        assert!(passed.is_some_and(|line| !line.contains("[31m")), "{coloured:?}");
        assert!(coloured.contains("\x1b[31mred\nalso red\n\x1b[39m"), "{coloured:?}");
    }
}

#[test]
fn a_name_of_wide_characters_shifts_nothing() {
    let world = World::new();
    let recipe =
        world.recipe("steps:\n- {name: 試験を実行する, run: echo 1}\n- {name: install, run: exit 1}\n- {name: 🦄, run: 'true'}\n");
    let err = world.pony(&["-n", recipe]).end().code(10).err();
    let summary: Vec<&str> =
        err.lines().filter(|line| line.starts_with("  ") && !line.starts_with("  |")).collect();
    assert!(summary[0].starts_with("  試験を実行する  passed   0."), "{summary:?}");
    assert!(summary[1].starts_with("  install         failed   0."), "{summary:?}");
    assert!(summary[2].starts_with("  🦄              skipped"), "{summary:?}");
}
