// Package dormousetest tests what a host builds on package dormouse: with the real engines, over hours and months that take
// no time.
//
//	func TestStopsInTheEvening(t *testing.T) {
//		dormousetest.Run(t, dormousetest.Config{}, func(t *testing.T, k *dormousetest.Kit) {
//			ws := k.NewRunning("api", dormouse.Policy{DefaultTTL: 8 * time.Hour})
//			k.Wait(9 * time.Hour)
//			k.Until(ws.ID, lifecycle.StatusStopped)
//			t.Log(k.Log())
//		})
//	}
//
// [Run] runs a test in a bubble of testing/synctest, in which time passes when everybody waits, and then at once. The plane
// in it reads the ordinary clock and runs as in production, with its loops made quiet (see [Quiet]).
//
// It guarantees that a test which waits for d has seen everything that happens within d; that two runs of a test do the
// same; and that a goroutine which the plane left behind fails the test.
//
// It does not replace a test on the database of production (package storetest is for stores), and it cannot wait for what is
// outside of the bubble, such as a process or a network connection.
//
// It imports the standard library and what the root module requires.
package dormousetest
