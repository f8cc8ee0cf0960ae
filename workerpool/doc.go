// Package workerpool is an elastic pool of workers: it creates the machines that run jobs when jobs wait, and shuts them
// down when they idle, across instance types, prices, quotas and capacity errors.
//
// The core is pure. [Step] is the state machine of one worker, [Due] says when its time comes, and [Plan] decides, from
// the waiting jobs, the workers and the limits, which job goes where, what is created and what is shut down, each with
// the rule that decided. [Pool] is the shell: it lists and probes, runs commands, keeps the index and applies plans.
//
// A host brings three things: an [InstanceSet] that creates and destroys instances, an [Executor] that runs a command on
// one, and a [Queue] of jobs. What must survive a restart of the pool is in the tags of the instances and on the
// workers themselves, never only in memory.
//
// # What it guarantees
//
//   - A worker with a job is never shut down for idling, for a plan, for its age or for a drain. What ends a worker under
//     its jobs is an operator's kill, silence for [Config].ProbeTimeout (BootTimeout if it was never ready), the provider,
//     or that each of them was asked to end for [Config].TermTimeout in vain; and their loss is recorded.
//   - A worker on hold is never shut down, except by an operator's kill.
//   - A job is started on one worker at a time. It is given up as lost only when its instance is gone.
//   - Limits are checked and reserved under one lock; concurrent creates cannot pass together.
//   - One listing that lacks half of the workers, or one probe round in which half of them fail, destroys nothing.
//   - Every worker has its own deadlines. A command that hangs delays nothing but itself.
//   - Start, shutdown and counts cost the same with a hundred workers as with a hundred thousand.
//
// # What it does not do
//
// It does not keep the queue, does not install software on an instance (the instance's image or its init script does),
// does not speak HTTP (package poolhttp does), and does not agree with another pool on the same instances: of several
// replicas, one runs it and the others stand by.
package workerpool
