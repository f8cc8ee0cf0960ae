package queue

import "context"

// MaxMessage is the most bytes that one message has: a PostgreSQL notification must stay below 8,000.
const MaxMessage = 7900

// Pubsub carries short messages between the processes that share a store. It may lose, repeat, delay and
// reorder them: what is lost is found by looking into the store. Hosts without one pass nil and live by looking.
//
// The messages are coalesced already; an implementation sends each at once, outside of any transaction, and
// uses one connection for all that it sends and one for all that it hears.
type Pubsub interface {
	// Publish sends a message of at most [MaxMessage] bytes of UTF-8 to every listener, those of the same
	// process included. It returns when the message is on its way; an error means that it may be lost.
	Publish(ctx context.Context, message string) error

	// Listen hands over every message sent from when it listens, one call at a time, until ctx ends or the
	// connection breaks, and returns why. It calls [Listener.Gap] first, as soon as it listens, and again
	// whenever messages may have been lost. It does not connect again by itself; its caller does, with a pause.
	Listen(ctx context.Context, l Listener) error
}

// Carrier is what a [Pubsub] may be able to do beside: have the store send a message in the commit of the postings that it tells of, so
// that those who listen hear it when the jobs are there, not a call of the poster later. Only a store on the same database takes it
// along; for every other the context says nothing, and it passes through whatever wraps a store.
//
// A commit that sends may keep others that do so waiting. So an acquirer has a message carried after a quiet time alone, and sends by
// [Pubsub.Publish] what comes soon after it.
type Carrier interface {
	// Carry returns a context for [Queue.Enqueue]. The message is the parts, joined by a number in decimal which is above that of
	// no job stored with it ([Job.Order]). Jobs have [Job.Announced] set if it was sent when they were stored; where it cannot be
	// sent they are stored all the same. Joined by the longest number, the parts have at most [MaxMessage] bytes.
	Carry(ctx context.Context, parts []string) context.Context
}

// Listener receives messages. Its methods return quickly and must not be called at the same time.
type Listener interface {
	// Message receives one message.
	Message(message string)
	// Gap says that messages before this call may have been lost.
	Gap()
}

// Heartbeater is what a [Pubsub] may be able to do beside: carry heartbeats on a connection of its own, so that they wait
// neither for the host's pool nor for its statements. Its contract is that of [Registry]. An acquirer uses it if it is there, and
// [Registry] where it fails or does not answer.
type Heartbeater interface {
	Heartbeat(ctx context.Context, h Heartbeat) (Fleet, error)
}
