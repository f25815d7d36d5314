/** Lets the page do something else. */
export let pause = (delay = 0) => new Promise(resolve => setTimeout(resolve, delay))
