// Reads a Compose file as Docker Compose does, with the library that it is made of, and says what is wrong with it:
// for machines that have no Docker Compose. With --json it prints what it has read, all references followed.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	files := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(argument string) bool { return argument == "--json" })
	if err := read(files, len(files) < len(os.Args)-1); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(files []string, print bool) error {
	options, err := cli.NewProjectOptions(files, cli.WithOsEnv, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil || !print {
		return err
	}
	json, err := project.MarshalJSON()
	if err == nil {
		_, err = os.Stdout.Write(json)
	}
	return err
}
