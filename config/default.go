package config

// defaultSource is the configuration of a daemon that has no file yet. It
// becomes the file with the first change.
const defaultSource = `# vhub's configuration; see vhub.hcl(5).
# Commands such as "vhub port add" edit this file and keep its comments.

hub "default" {
  port "tap" "lan" {
    interface = "vhub0"
  }
}
`

// Default returns the configuration of a daemon that has no file: one hub with
// this host on it, by the TAP device vhub0. The file name is for Config.Path.
func Default(file string) (src []byte, c *Config) {
	src = []byte(defaultSource)
	c, err := Parse(file, src)
	if err != nil {
		panic("config: the default configuration: " + err.Error())
	}
	return src, c
}
