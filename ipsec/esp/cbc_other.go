//go:build !amd64 || purego

package esp

// Without the routines of cbc_amd64.s, CBC is the library's.

const fastCBC = false

type lanes struct{}

func (l *lanes) rekey([]byte)             { panic("esp: no lanes") }
func (l *lanes) add(iv, body []byte) bool { panic("esp: no lanes") }
func (l *lanes) run()                     { panic("esp: no lanes") }

type decrypter struct{}

func (d *decrypter) rekey([]byte)              { panic("esp: no decrypter") }
func (d *decrypter) decrypt(*[16]byte, []byte) { panic("esp: no decrypter") }
