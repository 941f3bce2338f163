// Reads JSON objects, one a line, and prints what cli-utils' kstatus says of each, one word a line.
// An object that kstatus cannot read is Unknown; the reason goes to standard error.
package main

import (
	"bufio"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

const longestLine = 16 << 20

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		fmt.Println(judge(lines.Bytes()))
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(line []byte) status.Status {
	var object unstructured.Unstructured
	err := json.Unmarshal(line, &object.Object)
	if err == nil {
		var found *status.Result
		if found, err = status.Compute(&object); err == nil {
			return found.Status
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return status.UnknownStatus
}
