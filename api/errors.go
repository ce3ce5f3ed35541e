package api

import (
	"errors"
	"fmt"
	"net/http"
)

// Code says in one word what kind of error it is, for programs.
type Code string

// The codes, with the HTTP status of each in statusOf.
const (
	CodeBadRequest Code = "bad_request" // what was asked for cannot be right, whatever the state
	CodeNotFound   Code = "not_found"   // no such hub, port, revision, ...
	CodeConflict   Code = "conflict"    // right in itself, but not beside what there is (name taken, ...)
	CodeNoRights   Code = "no_rights"   // the daemon lacks a right of the system
	CodeFailed     Code = "failed"      // the system refused; nothing was changed
	CodeTimeout    Code = "timeout"     // the daemon took too long
	CodeInternal   Code = "internal"    // an error of vhub itself
)

var statusOf = map[Code]int{
	CodeBadRequest: http.StatusBadRequest,
	CodeNotFound:   http.StatusNotFound,
	CodeConflict:   http.StatusConflict,
	CodeNoRights:   http.StatusForbidden,
	CodeFailed:     http.StatusUnprocessableEntity,
	CodeTimeout:    http.StatusGatewayTimeout,
	CodeInternal:   http.StatusInternalServerError,
}

// Error is the body of every answer that is not a success. It is one line:
// what was wrong, and where; the hint says what to do.
type Error struct {
	// Message is what was wrong, and where: lower case, no period.
	Message string `json:"error"`
	// Hint is what to do about it; empty where there is nothing to say.
	Hint string `json:"hint,omitempty"`
	// Code is the kind of error, for programs.
	Code Code `json:"code"`
}

// Error returns the message, and the hint behind a semicolon.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// Errorf makes an Error without a hint.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Code: code}
}

// WithHint returns a copy of e with the hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// AsError returns the *Error in err's chain, or makes one of CodeFailed.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Message: err.Error(), Code: CodeFailed}
}
