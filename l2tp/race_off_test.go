//go:build !race

package l2tp

const slower = 1
