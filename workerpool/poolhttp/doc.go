// Package poolhttp lets operators see and steer a worker pool over HTTP: a handler with the host's own authentication, that
// a host mounts where it likes. It is apart from the pool so that a pool links no net/http.
//
//	GET  /status               counts, cost, pauses, whether the brake acts
//	GET  /workers              all workers; ?state=idle and ?type=small select
//	GET  /worker?id=ID         one worker, and the rule that keeps it or shuts it down
//	GET  /job?id=ID            where a job is, or which rule keeps it waiting
//	POST /workers/hold?id=ID   also /drain, /run; reason and until (RFC 3339), or for (a duration), are optional
//	POST /workers/kill?id=ID   ends a worker, its jobs too; reason is required
//	POST /jobs/kill?id=ID      asks a job to end; reason is required
//	POST /try?key=KEY          ends the wait of a pause
//	POST /brakes/release?for=D lets the brakes not act for a duration, at most a day
//
// Answers are JSON. Parameters are in the query or in a form. What changes something must be a POST and carry no Origin of
// another site. Ids are parameters, since those of some providers contain slashes.
package poolhttp
