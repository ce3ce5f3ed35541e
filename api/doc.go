// Package api is how programs talk to a running vhub: HTTP with JSON bodies on
// a UNIX socket. It has both ends, so that they cannot drift apart: every
// operation is one typed value (see operations.go) that the server is given a
// function for and that the client calls.
//
//	vhub port list                         curl --unix-socket /run/vhub/vhub.sock \
//	                                            http://vhub/v1/hubs/-/ports
//	      |                                     |
//	      v                                     v
//	GET /v1/hubs/-/ports HTTP/1.1          ("-" is the only hub there is)
//
//	HTTP/1.1 200 OK                        HTTP/1.1 404 Not Found
//	{"ports": [...]}                       {"error": "...", "hint": "...", "code": "not_found"}
//
// Names are snake_case and stable: a field is added, never renamed or given
// another meaning. docs/json.md lists them and is made from this package's
// comments. Times are RFC 3339 in UTC; lengths of time are seconds, as the
// field's name says; sizes are bytes.
//
// The package knows no other package of vhub. Who calls is told by the kernel
// (SO_PEERCRED), and who may call by the mode of the socket (0660).
package api
