package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// panel is one bar chart: a bar for each case that has the figure.
type panel struct {
	title  string
	figure string
	format string
}

var panels = []panel{
	{"TCP, Gbit/s (more is better)", tcpGbit, "%.2f"},
	{"CPU seconds of the programs per GB (less is better)", daemonCPU, "%.2f"},
	{"60-byte frames flat out, thousands a second (more is better)", floodFrames, "%.0f"},
	{"Idle ping, median, ms (less is better)", idleP50, "%.3f"},
}

// Sizes of the picture in pixels.
const (
	panelWidth = 950
	barsWidth  = 430 // of the longest
	barHeight  = 22
	headHeight = 44
	margin     = 16
)

var (
	ink     = color.RGBA{0x22, 0x22, 0x22, 0xff}
	ownBar  = color.RGBA{0x1f, 0x6f, 0xb2, 0xff}
	peerBar = color.RGBA{0xa8, 0xb4, 0xbe, 0xff}
	rangeOf = color.RGBA{0x55, 0x55, 0x55, 0xff}
)

// picture draws bars and text.
type picture struct {
	*image.RGBA
	face, bold font.Face
	label      int // pixels for the names of the rows
}

// newPicture is a white picture of this size.
func newPicture(width, height int) (*picture, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 13, DPI: 72})
	if err != nil {
		return nil, err
	}
	head, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 16, DPI: 72})
	if err != nil {
		return nil, err
	}
	p := &picture{RGBA: image.NewRGBA(image.Rect(0, 0, width, height)), face: face, bold: head}
	draw.Draw(p, p.Bounds(), image.White, image.Point{}, draw.Src)
	return p, nil
}

// write writes the picture to a file, whole or not at all.
func (p *picture) write(path string) error {
	var b bytes.Buffer
	if err := png.Encode(&b, p); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// writePlot draws the panels, two in a row, with each median as a bar and its
// range as a line.
func writePlot(path string, all []*result) error {
	high := headHeight + barHeight*len(all) + margin
	p, err := newPicture(2*panelWidth, (len(panels)+1)/2*high)
	if err != nil {
		return err
	}
	for _, r := range all {
		p.label = max(p.label, 2*margin+font.MeasureString(p.face, r.title).Ceil())
	}
	for i, panel := range panels {
		p.panel(panel, all, i%2*panelWidth, i/2*high)
	}
	return p.write(path)
}

func (p *picture) panel(what panel, all []*result, x, y int) {
	p.text(p.bold, x+margin, y+28, what.title)
	top := 0.0
	for _, r := range all {
		top = max(top, percentile(r.values(what.figure), 100))
	}
	y += headHeight
	for _, r := range all {
		p.text(p.face, x+margin, y+15, r.title)
		v := r.values(what.figure)
		if len(v) == 0 || top == 0 {
			p.text(p.face, x+p.label, y+15, "-")
			y += barHeight
			continue
		}
		scale := float64(barsWidth) / top
		at := func(v float64) int { return x + p.label + int(v*scale) }
		c := peerBar
		if len(r.name) >= 4 && r.name[:4] == "vhub" {
			c = ownBar
		}
		p.box(x+p.label, y+3, at(median(v))+1, y+barHeight-3, c)
		low, high := percentile(v, 0), percentile(v, 100)
		p.box(at(low), y+barHeight/2, at(high)+1, y+barHeight/2+1, rangeOf)
		p.text(p.face, at(high)+8, y+15, fmt.Sprintf(what.format, median(v)))
		y += barHeight
	}
}

func (p *picture) box(x0, y0, x1, y1 int, c color.Color) {
	draw.Draw(p, image.Rect(x0, y0, x1, y1), image.NewUniform(c), image.Point{}, draw.Src)
}

func (p *picture) text(face font.Face, x, y int, s string) {
	d := font.Drawer{Dst: p, Src: image.NewUniform(ink), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(s)
}
