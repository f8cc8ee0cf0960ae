// Package prewarm keeps pools of members that are ready to be claimed: workspaces, runners or sandboxes that were built
// before somebody asked for them.
//
// It guarantees:
//
//   - A member is claimed at most once in its life. The claim is one compare-and-swap of the store that writes owner,
//     key and absolute deadline; only then is the member handed out. The same key gets the same member again.
//   - Whoever waits and leaves takes nothing along: a member claimed for somebody who is gone is ready again.
//   - What a backend does not say destroys nothing. A failed listing means unknown, and unknown is no reason to act.
//   - Every instant is absolute. A restart neither shortens nor lengthens what is left.
//   - A failing backend stops creations, with growing pauses. It stops neither claims nor expiry nor removals.
//   - No more members than the ceiling are unclaimed, however many replicas plan at once.
//
// [Plan] decides, as a pure function with a reason for each action; [Explain] and [Diagnose] say why in words. [Pool] is
// the shell around it: it reads the [Store], plans, writes, and tells the [Backend].
//
// Claims that wait are served fairly among their tenants: in one process always, among processes where the store can pass
// notes between them ([Watcher]).
//
// It does not build anything itself, and does not balance load between pools. What a claim's holder does with a member is
// the holder's affair; the pool knows only leases ([Pool.KeepAlive], [Pool.Work]) and the return.
package prewarm
