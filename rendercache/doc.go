// Package rendercache caches values that are expensive to render: one render per key whatever happens meanwhile, exact
// expiry under an injected clock, and limits on entries and bytes.
//
// A [Cache] maps a key (usually [Key]: template version, owner, digest of the parameters) to the value that a
// function made. It is generic over both. Loading is part of the table, so there is no moment at which a render has ended
// and its value cannot be seen yet.
//
// # What it guarantees
//
//   - Any number of concurrent calls for one key cause one render. Each caller waits under its own context; the
//     render is stopped when the last of them leaves, never before.
//   - A panic or a runtime.Goexit in a render reaches every waiter as an error; no waiter hangs.
//   - A value whose key was invalidated while it was being rendered is never stored. Callers that came before the
//     invalidation still get it; later ones start a new render.
//   - Keys are compared in full. Two parameter maps or owners never share a value.
//   - An entry lives for TTL since its last use and MaxAge since its render, whichever ends first. At exactly that age it
//     is still found.
//   - An open cache has no goroutine once it was idle for a quarter of a second, and Close waits for every goroutine that the
//     cache has started.
//
// # What it does not do
//
// It does not copy: a hit returns the very value that was stored, so values must not be changed. It does not share values
// between processes. It does not check whether the caller may see a value: put what decides that into the key, or check
// before asking. It does not know when the owner's data or a template changes: call InvalidateOwner or InvalidateVersion,
// or set MaxAge.
//
// To render around the cache, call the function: that reads, stores and counts nothing. A render that only looks for
// something (a first pass with the previous parameter values, for example) should do so. Whatever makes a render slow
// belongs inside the function: rows and files that are loaded before the cache is asked cost the same on every hit.
//
// Warnings and diagnostics belong in the value, so that a hit returns what the miss returned.
//
// # Who waits, who works, what finishes
//
// [Cache.Render] and [Cache.Do] end their waiting with the caller's context. The render runs on its own goroutine with
// the values of the first caller's context but not its deadline; its context is canceled when the last waiter has left or
// the cache is closed, and none of its work has to finish. [Handles.Acquire] does the same for shared values, which live
// exactly as long as somebody holds a handle on them. Close waits for every goroutine that the cache started.
//
// # Metrics
//
// A [Config] names an Instance, a Namespace and a Registerer. [New] registers collectors of this cache alone and fails if
// it cannot; [Cache.Close] unregisters them. Nothing is global: caches that share a registerer differ in the label
// "instance", and a cache without a registerer counts all the same (see [Cache.Stats]).
//
// # Testing with it
//
// The cache registers its clean-up in [New], synchronously, with a re-armed AfterFunc tagged "render-cache-cleanup":
// after Mock.Advance(...).MustWait it has ended, and no trap is needed. (A test that sets a trap on AfterFunc has to call
// New from another goroutine.) A real clock in a testing/synctest bubble works too. For load tests give the mock
// quartz.NoOpLogger: otherwise it logs every reading of the time.
package rendercache
