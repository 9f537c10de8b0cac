// Package admin is the HTTP API for people, CI jobs and the command line: it
// shows services and their numbers, takes changes as commands to the state, and
// streams what happens.
//
//	GET    /v1/services                          every service
//	GET    /v1/services/{s}                      one service; ETag
//	PUT    /v1/services/{s}/weights              replace its weights; If-Match
//	POST   /v1/services/{s}/rollback             return to the weights before
//	PUT    /v1/services/{s}/versions/{v}         register a version
//	DELETE /v1/services/{s}/versions/{v}         remove a version
//	PUT    /v1/services/{s}/versions/{v}/drain   start or end draining
//	POST   /v1/services/{s}/versions/{v}/probe   run journeys against it
//	POST   /v1/services/{s}/pins/void            make the pins to a version void
//	GET    /v1/matrix                            journeys by versions; ?service=&version=
//	GET    /v1/matrix/{s}/{v}/{j}                the runs of a journey against a version
//	GET    /v1/services/{s}/history              its flips
//	POST   /v1/services/{s}/rollouts             start a rollout; ?wait= tells how it goes
//	GET    /v1/services/{s}/rollouts             its rollouts
//	GET    /v1/services/{s}/queue                which is under way, and which wait
//	POST   /v1/rollouts                          start a release set
//	GET    /v1/rollouts                          all rollouts
//	GET    /v1/rollouts/{id}                     one, with moves and evidence; ?wait=&after=
//	GET    /v1/rollouts/{id}/progress            its progress as lines of text
//	POST   /v1/rollouts/{id}/{action}            pause, resume, promote, abort
//	PUT    /v1/rollouts/{id}/place               its place in line
//	GET    /v1/audit                             all changes
//	GET    /v1/stats                             all counters
//	GET    /v1/diff                              file against state
//	GET    /v1/events                            server-sent events
//	POST   /v1/explain                           how a request would be routed
//	POST   /v1/tokens                            sign an override token
//	POST   /v1/reload                            read the file anew
//	GET    /healthz, /readyz, /metrics, /openapi.json
//	GET    /debug/pprof/…                        profiles of the process
//
// Errors are RFC 9457 problems (package api). Who may do what is one table,
// accessTable; every route passes the one gate that reads it.
//
// The package asks the rest of the program for what it needs through Options;
// it imports neither the data path nor the configuration.
package admin
