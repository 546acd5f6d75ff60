//! What builds that run at once share of this machine.

use std::{io, num::NonZeroU16};

use crate::{
    graph::Graph,
    home::Home,
    jobserver::Jobserver,
    plan::PlanContext,
    process::ask_briefly,
    recipe::Weight,
    schedule::{Capacity, Schedule, Task},
};

/// What builds share.
#[derive(Debug)]
pub(crate) struct Resources {
    /// Builds at once.
    pub(crate) slots: usize,
    /// Bytes of memory.
    memory: u64,
    /// Where jobs are shared; none for a build by itself.
    pub(crate) jobserver: Option<Jobserver>,
    /// What `make` says of its version.
    pub(crate) make: String,
}

impl Resources {
    /// As many slots as `--jobs` says, or as there are processors; a jobserver called `id` where jobs are shared.
    pub(crate) async fn new(
        context: &PlanContext,
        home: &Home,
        jobs: Option<NonZeroU16>,
        jobserver: Option<&str>,
    ) -> io::Result<Self> {
        let cpus = context.machine.facts.cpus;
        let slots = jobs.map_or(cpus, |jobs| usize::from(jobs.get()));
        let memory = context.machine.memory.unwrap_or(u64::MAX);
        let Some(id) = jobserver else {
            return Ok(Self { slots, memory, jobserver: None, make: String::new() });
        };
        let jobserver = Jobserver::new(cpus.max(slots), id, &home.jobs())?;
        let make = ask_briefly(["make", "--version"], &context.environment).await.unwrap_or_default();
        Ok(Self { slots, memory, jobserver: Some(jobserver), make })
    }

    /// Which of the builds at these `places` of the graph run when; each `expected` to take so many seconds.
    pub(super) fn schedule(&self, graph: &Graph, places: &[usize], expected: &[Option<f64>]) -> Schedule {
        Schedule::new(tasks(graph, places, expected), Capacity { slots: self.slots, memory: self.memory })
    }
}

fn tasks(graph: &Graph, places: &[usize], expected: &[Option<f64>]) -> Vec<Task> {
    let mut task_of = vec![None; graph.builds.len()];
    for (task, place) in places.iter().enumerate() {
        task_of[*place] = Some(task);
    }
    let task = |place: &usize| {
        let node = &graph.builds[*place];
        Task {
            needs: node.needs.iter().filter_map(|need| task_of[*need]).collect(),
            weight: match node.recipe.weight {
                Weight::All => usize::MAX,
                Weight::Slots(count) => count.get(),
            },
            memory: node.recipe.memory.unwrap_or(0),
            locks: node.recipe.locks.clone(),
            usual: expected[*place],
        }
    };
    places.iter().map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fixture::graph;

    #[test]
    fn only_what_runs_is_waited_for() {
        let graph = graph(&[
            ("zlib", ""),
            ("png", "needs: [zlib]\nweight: all\nmemory: 1kB\nlocks: [display]"),
            ("app", "needs: [zlib, png]\nweight: 2"),
        ]);
        let expected = [Some(1.0), None, Some(3.0)];
        // zlib is reused.
        let tasks = tasks(&graph, &[1, 2], &expected);
        let summary: Vec<_> = tasks
            .iter()
            .map(|task| (task.needs.clone(), task.weight, task.memory, task.locks.join(" "), task.usual))
            .collect();
        assert_eq!(
            summary,
            [
                (vec![], usize::MAX, 1000, "display".to_owned(), None),
                (vec![0], 2, 0, String::new(), Some(3.0)),
            ]
        );
    }
}
