/** A fault of one view leaves the others, and the open files, as they are. */
import { Component, type ReactNode } from "react";

interface Props {
  children: ReactNode;
}

export class Boundary extends Component<Props, { error: string | null }> {
  override state = { error: null as string | null };

  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <div className="notice deny" role="alert">
        <p>This view has a fault of ours: {this.state.error}</p>
        <button type="button" onClick={() => this.setState({ error: null })}>
          Try again
        </button>
      </div>
    );
  }
}
