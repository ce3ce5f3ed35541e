//go:build !amd64 || purego

package esp

import "crypto/cipher"

// Without the routines of gcm_amd64.s, GCM is the library's.

type wideKeys struct{}

func newWideKeys([]byte, cipher.Block) *wideKeys { return nil }

type wide struct{}

func newWide(*wideKeys) *wide { return nil }

func (w *wide) seal(nonce *[12]byte, aad, body, tag []byte)      { panic("esp: no wide GCM") }
func (w *wide) open(nonce *[12]byte, aad, body, tag []byte) bool { panic("esp: no wide GCM") }
