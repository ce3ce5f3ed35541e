package guide

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"809", "809"}, {"error 789", "789"}, {"Error 691:", "691"}, {"628", "628"}, {"766", "766"}, {"800", "800"}, {"812", "812"}, {"868", "868"},
		{"651", "651"}, {"619", "619"}, {"720", "720"}, {"734", "734"}, {"742", "742"}, {"835", "835"}, {"788", "788"},
		{"CoId={1}: The user A dialed a connection named vhub which has failed. The error code returned on failure is 809.", "809"},
		{"The L2TP connection attempt failed because the security layer encountered a processing error during initial negotiations with the remote computer.", "789"},
		{"The L2TP-VPN server did not respond. Try reconnecting.", "The L2TP-VPN server did not respond"},
		{"The L2TP‑VPN server did not respond.", "The L2TP-VPN server did not respond"}, // with the hyphen that Apple writes
		{"L2TP-VPN Server Did  Not\nRespond", "The L2TP-VPN server did not respond"},
		{"Authentication failed.", "Authentication failed"},
		{"The IPSec shared secret is missing. Verify your settings and try reconnecting.", "IPSec shared secret is missing"},
		{"received NO_PROPOSAL_CHOSEN error notify", "NO-PROPOSAL-CHOSEN"},
		{"no proposal chosen", "NO-PROPOSAL-CHOSEN"},
		{"ERROR: no suitable proposal found.", "NO-PROPOSAL-CHOSEN"},
		{"ignoring informational payload, type INVALID_ID_INFORMATION", "INVALID-ID-INFORMATION"},
		{"received AUTHENTICATION_FAILED notify error", "AUTHENTICATION-FAILED"},
		{"giving up after 5 retransmits", "No answer to IKE"},
		{"phase1 negotiation failed due to time up. 11:22", "No answer to IKE"},
		{"phase2 negotiation failed due to time up waiting for phase1", "Phase 2 got no answer"},
		{"MS-CHAP authentication failed: E=691 Authentication failure", "pppd: authentication failed"},
		{"Maximum retries exceeded for tunnel 13. Closing.", "L2TP got no answer"},
		{"Could not determine local IP address", "pppd: could not determine local IP address"},
		{"probable authentication failure (mismatch of preshared secrets?): malformed payload in packet", "PAYLOAD-MALFORMED"},
	} {
		e, ok := Explain(tt.text)
		if !ok || e.Code != tt.want {
			t.Errorf("%q: got %q (%v), want %q", tt.text, e.Code, ok, tt.want)
		}
	}
	for _, unknown := range []string{"", "hello", "port 8090", "a1809"} {
		if e, ok := Explain(unknown); ok {
			t.Errorf("%q is explained as %q", unknown, e.Code)
		}
	}
}

// Every explanation is whole, no code and no phrase has two, and each phrase finds its own.
func TestExplanationsAreWhole(t *testing.T) {
	seen := map[string]string{}
	for _, e := range entries() {
		if e.Code == "" || e.Source == "" || e.Meaning == "" || len(e.Causes) == 0 {
			t.Errorf("%q lacks something", e.Code)
		}
		for _, c := range e.Causes {
			if c.What == "" || c.Check == "" || c.Do == "" {
				t.Errorf("%s: the cause %q lacks something", e.Code, c.What)
			}
		}
		for _, key := range slices.Concat(e.codes, e.phrases) {
			if other, twice := seen[key]; twice {
				t.Errorf("%q belongs to %s and %s", key, other, e.Code)
			}
			seen[key] = e.Code
			if key != plainText(key) {
				t.Errorf("%s: the phrase %q is never found; write it as %q", e.Code, key, plainText(key))
			}
			if got, ok := Explain(strings.ReplaceAll(key, "…", " x ")); !ok || got.Code != e.Code {
				t.Errorf("%q finds %q, not %s", key, got.Code, e.Code)
			}
		}
	}
}

func TestExplainGolden(t *testing.T) {
	var b strings.Builder
	for _, e := range Known() {
		fmt.Fprintf(&b, "%s (%s)\n  %s\n", e.Code, e.Source, e.Meaning)
		for i, c := range e.Causes {
			fmt.Fprintf(&b, "  %d. %s\n     check: %s\n     do: %s\n", i+1, c.What, c.Check, c.Do)
		}
	}
	golden(t, "explanations.txt", []byte(b.String()))
}

func FuzzExplain(f *testing.F) {
	for _, s := range []string{"809", "no proposal chosen", "L2TP‑VPN", "…", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, ok := Explain(s); ok != (e.Code != "") {
			t.Fatal(ok, e.Code)
		}
	})
}
