package arp

import "vhub/eth"

// room returns where the next frame is appended: the end of the buffer.
func (o *Out) room() []byte { return o.buf[len(o.buf):] }

// took keeps a frame that was appended to room, and returns it.
func (o *Out) took(frame []byte) []byte {
	if len(o.buf)+len(frame) <= cap(o.buf) {
		o.buf = o.buf[:len(o.buf)+len(frame)]
	} else { // append moved it to a buffer of its own: a bigger one follows it
		o.buf = make([]byte, 0, 2*cap(o.buf)+4096)
	}
	return frame[:len(frame):len(frame)]
}

// add sends a frame that was appended to room out of one link.
func (o *Out) add(to Link, frame []byte) {
	o.Sends = append(o.Sends, Send{Frame: o.took(frame), To: to})
}

// flood sends a frame that was appended to room out of all links but one.
func (o *Out) flood(except Link, frame []byte) {
	o.Sends = append(o.Sends, Send{Frame: o.took(frame), Flood: true, Except: except})
}

// copyTo sends a copy of a frame to one station.
func (o *Out) copyTo(to Link, mac eth.Addr, frame []byte) {
	b := append(o.room(), frame...)
	copy(b, mac[:])
	o.add(to, b)
}
