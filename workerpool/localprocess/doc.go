// Package localprocess is a provider whose instances are processes on this machine: for tests, for examples, and for hosts
// that have one large machine. It is a real one. Instances outlive the pool's process, are found again by the files of
// their directory, and run commands and jobs as processes of their own.
//
// Instances live below one directory, each in a folder of its own with its tags. An instance exists as long as one of its
// processes does, which the kernel says by a lock that they all inherit; no process id is trusted. Destroy ends all of
// them, jobs and what jobs have started included.
//
// The program that uses the package becomes the instances, and their runner, by calling [Init] first thing in main.
//
// It needs Linux. It isolates nothing: jobs run as the user who runs the pool.
package localprocess
