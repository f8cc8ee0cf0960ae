// Package dispatch decides which workers of one process ask for which ready jobs, and who gets what the answers hold.
// It is a state machine: it reads no clock, calls no store and takes no lock. Its caller serializes all calls and passes
// the present in.
//
// Workers who could run exactly the same jobs wait in one line, a [Domain]. Ready jobs wait in lanes ([queue.Lane]). The
// machine keeps one rule:
//
//	A lane that is dirty while an able worker waits here is covered by a claim that is queued or in flight, or is left
//	to another process for a bounded time.
//
// A lane is dirty when it may hold something that no claim has seen. Marks are values of one rising counter: a lane
// is dirty while its last mark is above the one up to which it is known to be empty. A claim or a listing clears a lane
// only up to the mark at which it began, so whatever was posted in the meantime stays marked. The mark belongs to the
// lane, never to a worker, a domain or a claim; so none of them can lose it.
//
// The machine makes no claim. It names the domain that has to ([Hooks.Claim]); the caller begins a [Round], asks the
// store and reports the outcome: [Dispatcher.Finish], [Dispatcher.Fail] and later [Dispatcher.Settle], or
// [Dispatcher.Void]. Jobs come back as values ([Award]); delivering them is the caller's.
//
// Posting to a known lane costs a look-up and, at worst, one step in a heap of idle domains; posting to a new lane, or
// joining with a new domain, costs one comparison for each domain or lane of the organization that shares its rarest tag.
package dispatch
