// Package memory is a store that lives in the memory of one process: for hosts of a single process, and for unit tests
// that want the real thing without a database. It passes the same conformance suite as the stores on disk.
//
// Workspaces are kept as flat records without pointers, so that a million of them cost the garbage collector no more than
// a thousand, and in two ordered indexes, so that a tick that finds nothing due costs a binary search. Reads run
// concurrently; each call has all of its effects or none.
//
// What it does not do: the end of the process is the end of the data, unless it is written with [Store.Dump] and read
// again with [Restore]. It divides nothing among replicas; several executors of one process may share it.
package memory
