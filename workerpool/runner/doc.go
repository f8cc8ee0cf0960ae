// Package runner keeps the jobs of a worker: it starts them so that they outlive the command that did, says which run and
// how the others ended, and asks them to end. It is what a worker pool runs on a worker, by way of its executor:
//
//	dormouse-runner list         one line a job: "ID", "ID exit CODE", or "ID stale" if nobody saw its end; it waits for starts that are
//	                             under way, so that no job which it lacks is begun later by one of them. A runner of the host's own
//	                             may add the line "broken": the worker cannot run jobs, and is drained
//	dormouse-runner start ID     begins a job; its payload is the standard input
//	dormouse-runner kill ID      sends SIGTERM to all processes of a job, and prints its line
//	dormouse-runner forget ID    drops what is kept of a job that has ended
//
// Everything is in files below one directory ($DORMOUSE_RUNNER_DIR, else .dormouse-runner in the home directory), so that
// neither the pool nor the runner has anything to lose. A job's payload is a shell script unless the host's program says
// otherwise. Each job has a supervisor process that waits for its end. Whether a job lives is asked of the kernel, by a
// lock that its processes inherit, never of a process id, which may be somebody else's by now.
//
// A program becomes the runner by calling [Init] first thing in main; it acts when its name is dormouse-runner, by a link
// or a copy. The command in the folder dormouse-runner does nothing else.
//
// It needs Linux: the processes of a job are found in /proc.
package runner
