/** A fault of one view leaves the others, and the open files, as they are. */
import { Component, type ReactNode } from "react";
import { NotLoaded } from "./later";

interface Props {
  children: ReactNode;
}

export class Boundary extends Component<Props, { error: Error | null }> {
  override state = { error: null as Error | null };

  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    const missing = error instanceof NotLoaded;
    return (
      <div className="notice deny" role="alert">
        <p>
          {missing
            ? "This part of the page could not be loaded: is the server still there? What is open is kept."
            : `This view has a fault of ours: ${error.message}`}
        </p>
        {missing ? (
          <button type="button" onClick={() => location.reload()}>
            Load the page again
          </button>
        ) : (
          <button type="button" onClick={() => this.setState({ error: null })}>
            Try again
          </button>
        )}
      </div>
    );
  }
}
