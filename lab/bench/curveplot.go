package main

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
)

// Sizes of the picture of curves in pixels.
const (
	curveWidth  = 600
	curveHeight = 300
	curveLeft   = 70
	curveRight  = 30
	curveTop    = 50
	curveBottom = 50
)

var (
	gridLine  = color.RGBA{0xdd, 0xdd, 0xdd, 0xff}
	aloneLine = color.RGBA{0xc4, 0x5a, 0x11, 0xff}
)

// writeCurves draws, for each curve, the whole path above and the switch alone
// below: cost over the number, which has a logarithmic scale. Costs begin at 0.
func writeCurves(path string, curves []*curve) error {
	if len(curves) == 0 {
		return nil
	}
	p, err := newPicture(curveWidth*len(curves), 2*curveHeight)
	if err != nil {
		return err
	}
	for i, c := range curves {
		p.curve(c, "TAP to TAP, µs of CPU a frame", "%.1f", wholeOf, ownBar, i*curveWidth, 0)
		p.curve(c, "the switch alone, ns a frame", "%.0f", aloneOf, aloneLine, i*curveWidth, curveHeight)
	}
	return p.write(path)
}

// curve draws one curve: medians joined by a line, ranges as upright lines.
func (p *picture) curve(c *curve, what, format string, of func(*point) []float64, ink color.Color, x, y int) {
	var points []*point
	top := 0.0
	for _, q := range c.points {
		if v := measured(of(q)); len(v) > 0 {
			points = append(points, q)
			top = max(top, percentile(v, 100))
		}
	}
	if len(points) == 0 {
		return
	}
	p.text(p.bold, x+curveLeft, y+28, what+", by "+c.name)
	step := niceStep(top / 4)
	top = step * math.Ceil(top/step)
	high, wide := float64(curveHeight-curveTop-curveBottom), float64(curveWidth-curveLeft-curveRight)
	atY := func(v float64) int { return y + curveHeight - curveBottom - int(v/top*high) }
	for v := 0.0; v <= top+step/2; v += step {
		p.box(x+curveLeft, atY(v), x+curveWidth-curveRight, atY(v)+1, gridLine)
		p.text(p.face, x+curveLeft-50, atY(v)+5, strconv.FormatFloat(v, 'f', -1, 64))
	}
	log := func(q *point) float64 { return math.Log10(float64(max(q.n, 1))) }
	from, to := log(points[0]), log(points[len(points)-1])
	atX := func(q *point) int { return x + curveLeft + 20 + int((log(q)-from)/max(to-from, 1e-9)*(wide-60)) }
	for i, q := range points {
		v := measured(of(q))
		px, py := atX(q), atY(median(v))
		if i > 0 {
			p.line(atX(points[i-1]), atY(median(measured(of(points[i-1])))), px, py, ink)
		}
		p.box(px, atY(percentile(v, 100)), px+1, atY(percentile(v, 0))+1, rangeOf)
		p.box(px-3, py-3, px+4, py+4, ink)
		p.text(p.face, px+7, py-7, fmt.Sprintf(format, median(v)))
		p.text(p.face, px-8, y+curveHeight-curveBottom+20, grouped(q.n))
	}
}

// line draws a line two pixels thick.
func (p *picture) line(x0, y0, x1, y1 int, c color.Color) {
	n := max(abs(x1-x0), abs(y1-y0), 1)
	for i := range n + 1 {
		px, py := x0+(x1-x0)*i/n, y0+(y1-y0)*i/n
		p.box(px, py, px+2, py+2, c)
	}
}

func abs(n int) int { return max(n, -n) }

// niceStep is the step of a scale, at least v: 1, 2 or 5 with zeros.
func niceStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*p >= v {
			return m * p
		}
	}
	return 10 * p
}

// grouped is a number with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
