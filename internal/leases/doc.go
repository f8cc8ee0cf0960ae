// Package leases is the book of the leases that a process answers for: which jobs are in whose hands, which workers have
// fallen silent, and what was decided about their jobs. It is a pure state machine without clock, store or locks; the
// acquirer gives it those.
//
// A lease goes through these states:
//
//		claimed ──▶ held ──▶ doubtful ──▶ judged ──▶ ended
//		              ▲          │           │
//		              └──────────┴───────────┘
//		                     held again
//
//	  - claimed: a claim is under way or its answer was lost, and its token stands for whatever it has got.
//	  - held: the job is in a worker's hands.
//	  - doubtful: nobody knows of a worker that has it. It was silent for too long, its process was lost, its end was
//	    given up, or the store names a job that nobody here was given.
//	    Or its worker lives and does not stop although it was told to; then no report makes the doubt void.
//	  - judged: an end is being stored, after a verdict, or because no worker was ever given the job.
//	  - held again: the worker reported while the verdict was sought, which is void then; or the store did not take the end.
//
// The rule: a lease leaves the book only by an answer of the store that it is over here, or with its process. A policy that
// fails, an end that cannot be stored, a report whose answer was lost leave it where it is. So no job changes hands without
// a verdict about what was seen, and a verdict about what is not so any more is never stored.
//
// While an end is being stored the worker's calls are turned away (see [ErrJudged]): the store's answer decides, and the
// next call hears of it.
package leases
