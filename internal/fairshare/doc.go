// Package fairshare holds back whoever uses something shared, such as a store, more than its share while others use it too.
//
// What counts is time: how long the calls of one user are under way, added up. A user has a budget of it, which refills at the rate of
// its share. Who is within it calls as if nobody else were there. Who has used it up is delayed and never refused: its calls wait in
// line, first come, first served, and go one by one as the budget refills, at the latest [longestPause] after the one before has
// ended. So nobody starves, and nobody pays for what somebody else does.
//
// A user who is alone is not held back at all and costs a load of a pointer.
//
// It does not divide a capacity, and knows none: two who flood get two shares. It does not see what another process does.
//
// [Accounts] is the pure machine, which is told the time; [Limiter] waits.
package fairshare
