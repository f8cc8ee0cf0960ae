// Package queue is what a store of jobs implements and what its users say: jobs, lanes, tags, limits, and the contract of
// the store. It has no machine in it. Package acquirer hands the jobs of a store to workers, package worker runs them.
//
// # For authors of stores
//
// Implement [Store]. Each method states what is atomic, what a repetition does, and what each sentinel means;
// every other error means that the outcome is unknown. Run storetest.Jobs on the result: it checks each sentence of the
// contracts, also under concurrency.
//
//   - A store decides nothing about who may run what: [Compare] is the one tag rule, and a claim names the lanes it may
//     take from. In SQL a lane is a prefix of the ready index.
//   - Make rows with [Posting.Job], which validates, and number them with [FairOrder]; then all stores order alike.
//   - Keep [TagSet.String] as text; [ParseTagSet] reads it back and refuses what is not canonical.
//   - What arrives is valid already and its texts are clean ([CleanText]); instants are UTC with whole microseconds.
//
// # For authors of pubsubs
//
// Implement [Pubsub]. It may lose, repeat, delay and reorder messages; it must call [Listener.Gap] whenever it may have lost
// some. A message has at most [MaxMessage] bytes.
//
// # For hosts and workers
//
// [Request], [Posting], [Job], [Report] and [End] are values that encode to JSON and back, so a host may carry them over
// whatever network it has. Bad input is refused as [invalid.Error], which names the field and the rule.
package queue
