package configs

// AccessLog is which requests are logged, how and where.
type AccessLog struct {
	Mode AccessMode `yaml:"mode"` // default errors
	// Sample is the share, 0 to 1, of requests that the mode sampled keeps.
	// Default 0.01.
	Sample float64      `yaml:"sample"`
	Format AccessFormat `yaml:"format"` // default json
	// Fields are those of JSON lines, in order. None: all but referer and query,
	// which may hold an application's secrets.
	Fields []AccessField `yaml:"fields"`
	// File is what the lines are appended to; it is opened anew at each reload.
	// "": standard error, where the log goes.
	File string `yaml:"file"`
	// MaskClient leaves the network of clients' addresses, in traces too: the
	// last 8 bits of IPv4, the last 80 of IPv6 are 0. Default false.
	MaskClient bool `yaml:"mask_client"`
}

func (f *File) validateAccessLog(c *checker) {
	a := &f.Log.Access
	c.share("log.access.sample", a.Sample)
	if len(a.Fields) > 0 && a.Format != AccessJSON {
		c.fail("log.access.fields", "leave them out, or set format: json", "the format %s has fields of its own", a.Format)
	}
	distinct(c, "log.access.fields", a.Fields)
}
