// Package forecast says what will happen and what would happen.
//
//   - [Upcoming] is what will happen to one workspace, step by step; [Words] says it to people, [Calendar] to their
//     calendars.
//   - [Learn] learns from history when owners work and how builds go; [Forecast] says what a fleet will do with it.
//   - [Simulate] says what policies, schedules, pool sizes and holidays would have saved and whom they would have hurt.
//   - [ComparePlan] says what follows from a policy plan.
//   - [Suggest], [SuggestPolicy] and [SuggestPool] propose what nobody should have to set by hand, with the figures that
//     argue for it.
//
// Package lint warns of settings that will not do what their author means, package shadow compares another scheduler with what
// the rules would have done.
//
// # Guarantees
//
// Every answer is made by running [lifecycle.Decide], [lifecycle.Apply] and the verbs on snapshots, the very functions
// that act in production; there is no second model of a rule. Where the assumptions hold, the executor makes the same
// transitions at the same instants.
//
// Everything is a pure function of its arguments: nothing reads a clock, a store or a random source that was not seeded by
// the caller, and the same arguments give the same answer, on any number of processors. All results are plain values with
// JSON. Values may be used concurrently as long as nobody changes them.
//
// # What it does not do
//
// It applies nothing: a suggestion becomes a setting only through a verb or a policy plan that somebody confirms. It does
// not know of refusals, absent workers, caps or outages; what it says of a fleet is what the rules want.
package forecast
