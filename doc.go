// Package sluice is the root of the repository. It holds no code but tests: that
// packages import only what they may, and that the documents beside this file
// are true. The program is in cmd/sluice.
package sluice
