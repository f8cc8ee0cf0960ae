// Package lifecycle decides when workspaces start, stop, go dormant and are deleted. It is for whoever runs a control
// plane of workspaces: cloud development environments, notebooks, preview environments, sandboxes. It knows nothing of
// what a workspace is made of: it makes builds (a start, a stop, a delete), and somebody else carries them out.
//
// The package is the core: values and pure functions. Package [github.com/dormouse-go/dormouse/lifecycle/executor] runs
// it on a store and a clock.
//
// # The model
//
// A [Snapshot] is everything the rules read about one workspace: the workspace, its latest build, its owner, and its
// template with the policy. [Decide] says what is due and why, [NextWake] returns the earliest instant at which that answer
// can be another one, and [Explain] says for every rule what it compares and where it stands. All three ask one function for
// each rule, so they cannot disagree.
//
// Everything else that may happen to a workspace is a [Verb]: its job ended, its owner was active, somebody extends it or
// holds it. Verbs and decisions (see [Apply]) become a [Change]: the workspace as it shall be, a new build or none, and the
// [Event] values that go with it. [PlanPolicy] says what a new policy would do to a workspace.
//
// # For hosts
//
// Most hosts use an executor: it loads, decides, commits and delivers. A host with a scheduler of its own can call the
// functions directly: load a snapshot, Decide, Apply, commit the change under the revision it names, and look again at the
// workspace's WakeAt. When nothing is due, [Rearm] sets the next wake; when a build cannot be made, [Postpone] tries again
// later. Check policies with [Policy.Validate] before storing them. Show [Snapshot.Status] in lists and [Explain] on the page
// of a workspace.
//
// # For authors of stores
//
// [Store] is what the executor needs of a database: three methods. The further interfaces ([Outbox], [Subscriber], [Waker],
// [Watcher], [Sharder], [Batcher], [Pruner], [Registry], [Holder], [Recorder], [Remover], [Catalog], [History], [Gauges],
// [Braker], [Settler], [ZoneKeeper]) are abilities a store may have beyond it. Package
// [github.com/dormouse-go/dormouse/store/storetest] checks an implementation against all of these contracts. Instants are
// stored in UTC with microseconds, and the zero time as not set. A schedule or a list of dates that cannot be read is
// returned as a value that says so, because it is an error of that row alone.
//
// # What it guarantees
//
//   - No function reads a clock, blocks, logs, or changes its arguments. The same arguments give the same answer, from any
//     goroutine; after a lost race one simply asks again. Decide and NextWake do not allocate.
//   - A workspace's WakeAt is never later than the first instant at which a rule acts. It may be too early; then nothing is
//     due and it is set anew.
//   - Applying a decision takes away what it was made for: deciding again at the same instant does not repeat it.
//   - A change names the revision that it was computed from. A store that applies it to that revision only makes every
//     transition happen once, however many processes decide.
//   - One workspace with values that cannot be used (a schedule, dates) affects no other. [Decision.Err] and Explain name
//     the error; the rules that do not need the value act as usual.
//   - What is overdue happens once: missed occurrences of a schedule are not caught up one by one.
//   - Whatever may be running keeps the deadlines that end it, however builds fail or are canceled.
//   - An allowed occurrence at or after the instant at which an automatic stop was due is not lost, however late the stop.
//   - A change of a policy, and the end of a hold, bring no stop or dormancy closer than 2 hours after the commit that brings the
//     workspace in line, and no deletion closer than 24 hours.
//
// # What it does not do
//
// It runs no jobs (see package [github.com/dormouse-go/dormouse/acquirer]), stores nothing, sends nothing, and authorizes
// nobody. It does not check that the parts of a snapshot belong together: that is the store's contract.
//
// # What it links
//
// The package imports google/uuid, robfig/cron (through package schedule) and the standard library, and no network code
// beyond what uuid brings. A program that calls Decide is about 0.9 MB larger than an empty one, a program with the executor
// about 5.2 MB; docs/performance.md has the figures.
package lifecycle
