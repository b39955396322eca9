package main

import (
	"context"
	"fmt"
	"time"
)

// taskCommand is `aula task`.
type taskCommand struct {
	List   taskListCommand   `cmd:"" help:"List the long work on images that goes on, and what has ended lately."`
	Cancel taskCancelCommand `cmd:"" help:"Stop one."`
}

// taskListCommand is `aula task list`.
type taskListCommand struct {
	server
	jsonFlag
}

// Run lists the tasks.
func (c *taskListCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	tasks, err := server.Tasks(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(tasks)
	}
	if len(tasks) == 0 {
		fmt.Println("nothing goes on, and nothing has ended since the appliance was started")
		return nil
	}
	w := newTable("ID", "STATE", "WHAT", "BY", "STARTED", "HOW")
	for _, t := range tasks {
		how := t.Stage
		switch {
		case t.Problem != "":
			how = t.Problem
		case t.Over() && len(t.Results) > 0:
			how = t.Results[0]
		case t.Total > 0 && !t.Over():
			how = fmt.Sprintf("%d %%, %s", 100*t.Done/t.Total, t.Stage)
		}
		w.row(t.ID, t.State, t.Title, t.Actor, t.Started.Local().Format(time.DateTime), how)
	}
	return w.Flush()
}

// taskCancelCommand is `aula task cancel`.
type taskCancelCommand struct {
	server
	jsonFlag
	ID string `arg:"" help:"Id of the task, as 'aula task list' has it." name:"id"`
}

// Run cancels a task.
func (c *taskCancelCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	if err := server.CancelTask(ctx, c.ID); err != nil {
		return answerError(err)
	}
	task, err := server.Task(ctx, c.ID)
	if err != nil {
		return err
	}
	return c.tell(task, "%s: it is told to stop; what it had begun will not be there", task.Title)
}
