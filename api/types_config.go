package api

import "time"

// Config is the text of a configuration.
type Config struct {
	// Revision is its number; 0 when the text is the file's but was never applied.
	Revision int `json:"revision"`
	// File is where the configuration in use stands.
	File string `json:"file"`
	// Text is the configuration in HCL.
	Text string `json:"text"`
}

// Revision is one configuration that was in use.
type Revision struct {
	Revision int       `json:"revision"`
	Time     time.Time `json:"time"`
	// Who is the user that asked for it, and from where ("root (uid 0, pid 4711)", "signal", ...).
	Who string `json:"who"`
	// What is the command, such as "port add tap lan".
	What string `json:"what"`
	// Current is set for the one in use.
	Current bool `json:"current"`
}

// Change is the answer to everything that changes the configuration.
type Change struct {
	// Revision is the number of the configuration that is now in use.
	Revision int `json:"revision"`
	// Changed says in lines what is different from before ("port lan: added").
	Changed []string `json:"changed"`
	// Warnings are what the user should know although it was done.
	Warnings []string `json:"warnings,omitempty"`
	// Confirm is set when the change goes back by itself unless confirmed.
	Confirm *Confirm `json:"confirm,omitempty"`
}

// Checked is the answer to a check: what an apply would do.
type Checked struct {
	// Changed says in lines what would be different.
	Changed []string `json:"changed"`
	// Warnings are what the user should know.
	Warnings []string `json:"warnings,omitempty"`
}
