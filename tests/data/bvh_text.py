"""Small BVH files for the tests."""

HEADER = """HIERARCHY
ROOT base
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT arm
  {
    OFFSET 0 1 0
    CHANNELS 3 Yrotation Zrotation Xrotation
    JOINT hand
    {
      OFFSET 0.5 0 0
      CHANNELS 4 Xrotation Yposition Yrotation Zrotation
      End Site
      {
        OFFSET 0 0 1
      }
    }
  }
  JOINT leg
  {
    OFFSET 0 -1 0
    CHANNELS 1 Xrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
}
MOTION
"""
CHANNELS = 14


def bvh(rows=None, frames=None, header=HEADER, seconds="0.0333333"):
    """A file of the skeleton above; rows of numbers, three counting ones if left out."""
    rows = [[r + c for c in range(CHANNELS)] for r in range(3)] if rows is None else rows
    lines = [" ".join(str(value) for value in row) for row in rows]
    count = len(rows) if frames is None else frames
    return f"{header}Frames: {count}\nFrame Time: {seconds}\n" + "\n".join(lines) + "\n"


FIRST_ROW = bvh().splitlines().index("Frame Time: 0.0333333") + 2  # the line of the first row, from 1
