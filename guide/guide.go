// Package guide writes what people at the other end of vhub need: cards for
// the clients that systems have built in, files that set such a client up, and
// explanations of the errors they show.
//
// Everything here is pure: values in, text out. Nothing is read, nothing is
// written, and a pre-shared key is part of a text only where the caller put it
// into the values.
package guide
