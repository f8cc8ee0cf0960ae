// Package standstill has obstacles of every kind in the way of one workspace of three hundred, over every store: the other
// 299 are done within two ticks, the one in the way can be seen by name in the stats of the tick, in what Explain says and in
// the log, and Run returns when it is told to.
package standstill_test
