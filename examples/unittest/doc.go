// Package unittest shows how a host tests its own wiring of the lifecycle executor: with the store in memory, which is the
// real thing, and a clock that the test moves.
//
//	go test -v ./examples/unittest
//
// plane.go is a control plane of one screen: it chooses a policy, refuses starts when a budget is used up, and mails people.
// Its tests do not test the library; they test that what the host wired up does what its users were promised. In the order
// of plane_test.go: a workspace stops at its deadline and not a minute sooner; activity moves the deadline; one reminder
// comes before it, although the mail server was down; a used-up budget delays a start and does not lose it; nothing is
// deleted before the day that was mailed; a start is at the same time of day after the clocks have changed; Run ends when
// it is told to and forgets nothing.
//
// Nothing in it waits for real time, and none of it needs a database. What carries over to a test of yours: give the
// executor a [quartz.Mock], call Tick with the instants that matter, answer builds by hand with JobEnded, and deliver what
// was mailed with Relay.
package unittest
