package guide

import (
	"regexp"
	"slices"
	"strings"
)

// Explanation says what an error of a client or a router means and what to do.
type Explanation struct {
	// Code is how the error is called: a Windows number, or the words.
	Code string `json:"code"`
	// Source is whose error it is.
	Source string `json:"source"`
	// Meaning is what happened, in a sentence or two.
	Meaning string `json:"meaning"`
	// Causes are what is behind it, likeliest first.
	Causes []Cause `json:"causes"`
}

// Cause is one reason of an error.
type Cause struct {
	// What is wrong.
	What string `json:"what"`
	// Check is how to tell, on vhub or beside it.
	Check string `json:"check"`
	// Do is what cures it.
	Do string `json:"do"`
}

// entry is an Explanation and what finds it.
type entry struct {
	Explanation
	codes   []string // whole words
	phrases []string // anywhere in the text, in lower case; a part of a phrase, split at "…", must follow the part before
}

var word = regexp.MustCompile(`[0-9a-z_]+`)

// Explain finds the explanation of an error: a number (809), a name
// (NO_PROPOSAL_CHOSEN), or the line of a log or a message. Of a text in which
// several errors are known, the longest phrase counts. ok is false when nothing
// in it is known.
func Explain(text string) (e Explanation, ok bool) {
	text = plainText(text)
	words := word.FindAllString(text, -1)
	best := 0
	for _, en := range entries() {
		for _, p := range en.phrases {
			if len(p) > best && contains(text, p) {
				e, ok, best = en.Explanation, true, len(p)
			}
		}
	}
	if ok {
		return e, true
	}
	for _, en := range entries() {
		if slices.ContainsFunc(en.codes, func(c string) bool { return slices.Contains(words, c) }) {
			return en.Explanation, true
		}
	}
	return Explanation{}, false
}

// contains tells whether the parts of the phrase stand in the text in order.
func contains(text, phrase string) bool {
	for part := range strings.SplitSeq(phrase, "…") {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

// plainText is lower case, with plain quotes, hyphens and single spaces: people copy
// messages from screens.
func plainText(s string) string {
	s = strings.NewReplacer("‘", "'", "’", "'", "“", `"`, "”", `"`, "‐", "-", "‑", "-", "–", "-").Replace(strings.ToLower(s))
	return strings.Join(strings.Fields(s), " ")
}

// Known lists all explanations, in the order to show them.
func Known() []Explanation {
	var all []Explanation
	for _, e := range entries() {
		all = append(all, e.Explanation)
	}
	return all
}

func entries() []entry { return slices.Concat(windowsErrors, appleErrors, linuxErrors, ipsecErrors) }
