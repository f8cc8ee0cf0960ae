// Package executor makes the transitions that package lifecycle decides: it reads what is due from a store, asks the host
// for the builds, commits, and delivers what the commits have to say.
//
// # For hosts
//
// An [Executor] is the machine of a process that ticks. [Executor.Run] ticks by a clock, delivers events and flushes
// activity until its context ends; a host with a scheduler of its own calls [Executor.Tick] and [Executor.Relay]. What is
// due is sorted by the template version that its build will use; each version is one task of a bounded group, in which a
// [Builder] prepares once what all its builds share.
//
// # What it guarantees
//
//   - A change is applied only to the revision it was computed from. Any number of executors may run on one store; each
//     transition happens once, and nothing is decided on old values.
//   - What is due is found, whatever else happens. The cost of a tick is the number of due workspaces, not the number that
//     exist.
//   - One bad workspace (an unusable schedule, a builder that fails or panics, a change the store rejects) stops no
//     other; it backs off and is visible in [Stats] and in Explain.
//   - An event leaves after the commit of its change, never before, at least once, in order for each workspace and topic.
//   - When Run returns, nothing it started is left.
//
// # What it does not do
//
// It knows no rule: what is due and what a verb changes are answers of package lifecycle. It does not run jobs (see
// package acquirer), send mail, or authorize anybody.
package executor
