//go:build !amd64 || purego

package esp

// Without the routines of gcm_amd64.s, GCM is the library's.

const fastGCM = false

type wideKeys struct{}

func (k *wideKeys) rekey([]byte) { panic("esp: no wide GCM") }

type wide struct{ wideKeys }

func (w *wide) seal(nonce *[12]byte, aad, body, tag []byte)      { panic("esp: no wide GCM") }
func (w *wide) open(nonce *[12]byte, aad, body, tag []byte) bool { panic("esp: no wide GCM") }
