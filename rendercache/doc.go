// Package rendercache remembers what is dear to render: one render per key whatever happens meanwhile, an exact
// life under an injected clock, and a budget of entries and bytes.
//
// A [Cache] maps a key (usually [Key]: template version, owner, digest of the parameters) to the value that a
// function made. It is generic over both. The loading is part of the table, so there is no moment in which a render
// has ended and its value cannot be seen yet.
//
// # What it guarantees
//
//   - Any number of concurrent calls for one key cause one render. Each caller waits under its own context; the
//     render is stopped when the last of them leaves, never before.
//   - A panic or a runtime.Goexit in a render reaches every waiter as an error and nobody hangs.
//   - What was invalidated while it was being rendered is never stored. Callers that came before the invalidation
//     still get it; later ones start a new render.
//   - Keys are compared in full. Two parameter maps or owners never share a value.
//   - An entry lives TTL since its last use and MaxAge since its render, whichever ends first. At exactly that age
//     it is still found.
//   - An open and idle cache has no goroutine; a closed one has left none behind.
//
// # What it does not do
//
// It does not copy: a hit returns the very value that was stored, so values must not be changed. It does not share
// between processes. It does not check whether the caller may see a value: put what decides that into the key, or
// check before asking. It is not told when the owner's data or a template changes: call InvalidateOwner or
// InvalidateVersion, or set MaxAge.
//
// To render around the cache, call the function: that reads, stores and counts nothing. Two builds that only look
// for something (a first pass with the previous parameter values, say) should do that. What makes a render slow
// belongs inside the function: rows and files loaded before the cache is asked are paid for on every hit.
//
// Warnings and diagnostics belong into the value, so that a hit returns what the miss returned.
//
// # Who waits, who works, what finishes
//
// [Cache.Render] and [Cache.Do] end their waiting with the caller's context. The render runs on its own goroutine with
// the values of the first caller's context but without its deadline; it is told to stop when the last waiter has left
// or the cache is closed, and nothing of it must still finish. [Handles.Acquire] is the same for shared values that live
// exactly as long as somebody holds them. Close waits for every goroutine that the cache started.
//
// # Testing with it
//
// The cache registers its clean-up in [New], synchronously, with a re-armed AfterFunc tagged "render-cache-cleanup":
// after Mock.Advance(...).MustWait it has ended, and no trap is needed. (A test that sets a trap on AfterFunc has to
// call New from another goroutine.) A real clock in a testing/synctest bubble works as well. For load tests give the
// mock quartz.NoOpLogger: it logs every reading of the time otherwise.
package rendercache
