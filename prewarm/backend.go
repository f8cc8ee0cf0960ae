package prewarm

import "context"

// Backend builds and destroys what members stand for. All methods may be called from several goroutines at once, and
// again after a crash or a time-out: each must do the same thing for the same resource once. Each returns soon after its
// context has ended: one that does not return within three seconds is given up, which is an error like any other, and goes on
// in a goroutine that nobody waits for. A panic counts as an error.
type Backend interface {
	// Create builds the resource of a member, under [Member.Resource]. It may return before the resource can be used:
	// then the backend says so by an event, or in a listing. The status is what is known on return; StatusReady makes
	// the member ready at once. An error counts as a failed attempt, and the member is destroyed.
	Create(ctx context.Context, m Member) (Status, error)
	// Destroy removes the resource of a member. One that does not exist is a success.
	Destroy(ctx context.Context, m Member) error
	// List says of every resource of the pool how it is. It must be complete or an error: what an answer without error
	// does not show, does not exist.
	List(ctx context.Context, pool string) ([]Event, error)
	// Watch tells of what happens to resources of the pool, until ctx ends, and returns ctx.Err(), or until it can hear
	// no more, and returns why. Events may come doubled, late or never: a listing follows from time to time. A backend
	// without events waits for ctx. tell does not block.
	Watch(ctx context.Context, pool string, tell func(Event)) error
	// Mark tells the backend who has a claimed member, after the claim is stored and before it is handed out. An error
	// keeps the member from being handed out; a repetition of the claim's key tries again. A backend that need not know
	// returns nil.
	Mark(ctx context.Context, m Member) error
}

// Cleaner prepares a returned member for another use.
type Cleaner interface {
	// Clean removes what the use before has left, and verifies that nothing is left. True is a promise that it looked;
	// false means that something is left, and the member is destroyed. An error means that nobody knows, and the member
	// goes to quarantine.
	Clean(ctx context.Context, m Member) (verified bool, err error)
}
