/** Why a dialog's change cannot be made, in the dialog: what stands behind it is not seen. */
export function Refusal({ why }: { why: string | null }) {
  if (why === null) return null;
  return (
    <p className="notice deny" role="alert">
      {why}
    </p>
  );
}
