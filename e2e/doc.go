// Package e2e holds tests of the whole product: the binary as a process, with
// the clients that people use on its one side and real servers on its other.
package e2e
