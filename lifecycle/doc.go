// Package lifecycle decides when workspaces start, stop, go dormant and are deleted, and makes it happen.
//
// It is for whoever runs a control plane of workspaces: cloud development environments, notebooks, preview environments,
// sandboxes. It knows nothing of what a workspace is made of; it makes builds (a start, a stop, a delete) and somebody
// else carries them out.
//
// # The core
//
// Three pure functions read a [Snapshot] of one workspace: [Decide] says what is due and why, [NextWake] the earliest
// instant at which that answer could differ, [Explain] says it for every rule in words. Everything that may happen to a
// workspace from outside (its job ended, its owner was active, somebody extends or holds it) is a [Verb], a pure function
// from the snapshot to a [Change]. [PlanPolicy] says what a new policy would do to it. None of them reads a clock.
//
// # The shell
//
// An [executor.Executor] reads the workspaces whose WakeAt has come from a [Store], sorts them by the template version their
// build will use, lets a [executor.Builder] prepare the builds of each version, commits the changes in batches, and delivers the
// events that were written with them. [executor.Executor.Run] does so by a clock; a host with a scheduler of its own calls
// [executor.Executor.Tick].
//
// # Guarantees
//
//   - A change is applied only to the revision it was computed from. Any number of executors may run on one store; each
//     transition happens once, and nothing is decided on old values.
//   - What is due is found, whatever else happens: a workspace's WakeAt is never later than the first instant at which a
//     rule acts. The cost of a tick is the number of due workspaces, not the number that exist.
//   - One bad workspace (an unusable schedule, a builder that fails or panics, a change the store rejects) stops no
//     other; it backs off and is visible in [executor.Stats] and in Explain.
//   - An event leaves after the commit of its change, never before, at least once, in order for each workspace and topic.
//   - When Run returns, nothing it started is left.
//
// # What it does not do
//
// It does not run jobs (see package acquirer), keep tables (see package store and its implementations), send mail, or
// authorize anybody. It does not catch up every missed occurrence of a schedule: what is overdue happens once.
package lifecycle
