package main

import (
	"fmt"
	"strings"

	"aula/clientos/instruction"
)

// instructionCommand is `aula instruction`. It asks no appliance.
type instructionCommand struct {
	Check instructionCheckCommand `cmd:"" help:"Read instructions and tell what is wrong with them, without doing anything."`
	Words instructionWordsCommand `cmd:"" help:"List the instructions that there are, or tell about one."`
}

// instructionCheckCommand is `aula instruction check`.
type instructionCheckCommand struct {
	jsonFlag
	programArg
}

// Run prints the program as it is understood.
func (c *instructionCheckCommand) Run() error {
	_, program, err := c.read()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(program.Statements)
	}
	_, err = fmt.Print(program)
	return err
}

// instructionWordsCommand is `aula instruction words`.
type instructionWordsCommand struct {
	jsonFlag
	Word string `arg:"" optional:"" help:"Only this one."`
}

// Run lists the words.
func (c *instructionWordsCommand) Run() error {
	words := instruction.Words()
	if c.Word != "" {
		for _, w := range words {
			if strings.EqualFold(w.Word, c.Word) {
				return c.tell(w, "%s\n    %s\nfor example:\n    %s", w.Usage, w.Help, w.Example)
			}
		}
		return exitError{fmt.Errorf("there is no instruction %q: 'aula instruction words' has all", c.Word), exitNoFile}
	}
	if c.JSON {
		return printJSON(words)
	}
	for _, w := range words {
		fmt.Printf("%s\n    %s\n", w.Usage, w.Help)
	}
	return nil
}
